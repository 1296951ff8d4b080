--[[
about: Asks every field and method of a message, to see what a hostile one costs.
]]
return function(m, act)
  local count = 0
  for _, name in ipairs { "subject", "list_id", "message_id", "account", "folder", "size", "age", "kind" } do
    count = count + #tostring(m[name])
  end
  for _, list in ipairs { m.to, m.cc, m.bcc, m.reply_to, m.sender, m.recipients, m.references, m.flags } do
    count = count + #list
  end
  count = count + #m.from.addr + #(m.from.name or "") + #tostring(m.envelope.from) + #tostring(m.spam.score)
  if m.date then count = count + m.date.year end
  for _, result in pairs(m.auth) do count = count + #result end
  for _, value in ipairs(m:headers("Subject")) do count = count + #value end
  count = count + #(m:header("X-Field") or "") + #(m:raw_header("Subject") or "") + #m:addresses("To")
  count = count + #m:body() + #m:body(8 * MB) + #m:raw_body()
  for _, part in ipairs(m:parts()) do
    count = count + part.size
    if part.number < 50 then count = count + #m:part_text(part.number, 10 * KB) end
  end
  count = count + #m:attachments()
  if m:in_list("me", m.from.addr) or m:duplicate() or m:exists_any("X-Loop", "List-Id") then count = count + 1 end
  if m:matches { body = { contains = "unsubscribe" } } then count = count + 1 end
  if re.match([[(?<x>x+)y]], m:body(100 * KB)) then count = count + 1 end
  -- A pattern of Lua with `+` before what is not there would take the square of the length: `re` never does.
  if re.match([[[\w.]+@example\.com]], m:body()) then count = count + 1 end
  act.log("%d", count % 1000)
  act.fileinto({ "all/" .. m.subject, "by/" .. m.from.addr }, { copy = true })
  act.setheader("Subject", "[x] " .. m.subject)
  act.keep()
end
