--[[
about: Files mail with several words of a list in its Subject.
lists: {words: {entries: [casino, viagra, winner]}}
]]
return function(m, act)
  local found = 0
  for _, word in ipairs(m:list("words")) do
    if text.lower(m.subject):find(word, 1, true) then found = found + 1 end
  end
  if found > 1 then act.fileinto("spam") end
end
