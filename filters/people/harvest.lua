--[[
about: Collects the addresses that you write to, in a list that other rules can ask.
parameters:
  list: {about: "The database list to add to; define it under `lists`.", default: book}
]]
return function(m, act)
  if not m:in_list("me", m.from.addr) then return end
  for _, person in ipairs(m.recipients) do
    act.add_to_list(param.list, person.addr)
  end
end
