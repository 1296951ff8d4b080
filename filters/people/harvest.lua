--[[
about: Collects the addresses that you write to, in a list that other rules can ask.
parameters:
  list: {about: The database list to add to., default: book}
  folders:
    about: The folders with mail you sent; fetch them too.
    default: [Sent, Sent Items, Sent Messages, INBOX/Sent, "[Gmail]/Sent Mail"]
lists: {"${list}": {database: true}}
]]
-- Only mail in a folder of sent mail counts: anybody can write your address into From, and would be in the book.
local function is_sent(m)
  for _, folder in ipairs(param.folders) do
    if m.folder == folder then return m:in_list("me", m.from.addr) end
  end
  return false
end

return function(m, act)
  if not is_sent(m) then return end
  for _, person in ipairs(m.recipients) do
    if not m:in_list("me", person.addr) then act.add_to_list(param.list, person.addr) end
  end
end
