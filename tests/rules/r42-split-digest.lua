--[[
about: "R42: takes a digest apart; its messages are delivered, and filtered, one by one."
]]
-- A program, honestly: how many messages there are is known only when the parts have been counted. A digest that is MIME
-- is taken apart by its parts; one that is plain text (RFC 1153) only by formail.
local function is_digest(m)
  return m.list_id ~= nil and m.subject:lower():find("digest", 1, true) ~= nil
end

return function(m, act)
  if not is_digest(m) then return end
  local kinds, found = {}, false
  for _, part in ipairs(m:parts()) do
    kinds[part.number] = part.type
    if part.type == "message/rfc822" and part.parent and kinds[part.parent] == "multipart/digest" then
      act.pipe({"mailsluice", "deliver"}, {input = part.number})
      found = true
    end
  end
  if not found then act.pipe({"formail", "+1", "-ds", "mailsluice", "deliver"}) end
end
