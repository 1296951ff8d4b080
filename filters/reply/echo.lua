--[[
about: An echo robot; mail to you+echo comes back with the way it took and what servers found about it.
parameters:
  detail: {about: The detail of your address that answers., default: echo}
  into: {about: The folder for what was answered., default: Echo}
  most: {about: So many characters of the text come back., default: 1000}
]]
local SHOWN = {"Received", "Authentication-Results", "DKIM-Signature", "Date", "Message-ID", "From", "To", "Subject"}

local function is_for_us(m)
  for _, person in ipairs(m.recipients) do
    if person.detail and person.detail:lower() == param.detail and m:in_list("me", person.addr) then return true end
  end
  return false
end

-- Short on purpose: a service answers with no more than a few kilobytes (RFC 3834 2).
local function report(m)
  local lines = {"Your message arrived. This is how:", ""}
  for _, name in ipairs(SHOWN) do
    for count, value in ipairs(m:headers(name)) do
      if count <= 10 then table.insert(lines, name .. ": " .. value:sub(1, 200)) end
    end
  end
  table.insert(lines, "")
  table.insert(lines, m:body(param.most))
  return table.concat(lines, "\n")
end

return function(m, act)
  if not is_for_us(m) then return end
  -- Robots, lists and bounces are refused by the guard of `reply`, so two of these do not talk to each other.
  act.reply(report(m), {subject = "Echo: " .. m.subject:sub(1, 100), handle = "reply/echo", max_per_sender = "5/hour"})
  act.fileinto(param.into, {flags = "seen"})
end
