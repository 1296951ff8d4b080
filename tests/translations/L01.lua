--[[
about: Mutes the threads in the list `muted`, and the answers to them.
lists: {muted: {database: true}}
]]
return function(m, act)
  for _, id in ipairs(m.references) do
    if m:in_list("muted", id) then
      if m.message_id then act.add_to_list("muted", m.message_id) end
      return act.fileinto("Muted", {flags = {"seen"}})
    end
  end
end
