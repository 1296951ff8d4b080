--[[
about: Collects the addresses that you write to, in a list that other rules can ask.
parameters:
  list: {about: The database list to add to., default: book}
  folders:
    about: The folders with mail you sent; fetch them too.
    default: [Sent, Sent Items, Sent Messages, INBOX/Sent, "[Gmail]/Sent Mail"]
  except:
    about: "Whose addresses are left out: @domains and patterns. Those of lists and robots are not people."
    default:
      ["*@lists.*", "*@list.*.*", "*@groups.*.*", "*mailman.*", "*listserv.*", .vger.kernel.org, .googlegroups.com,
       .yahoogroups.com, .groups.io, "*-devel@*", "*-discuss@*", "*-list@*", "*-users@*", "*-request@*", "*reply@*"]
lists: {"${list}": {database: true}, harvest-except: "${except}"}
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
    local is_left_out = m:in_list("me", person.addr) or m:in_list("harvest-except", person.addr)
    if not is_left_out then act.add_to_list(param.list, person.addr) end
  end
end
