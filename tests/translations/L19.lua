--[[
about: Files mail with a word in its Subject.
parameters:
  words: {about: The words., default: [casino, viagra]}
]]
return function(m, act)
  for _, word in ipairs(param.words) do
    if text.lower(m.subject):find(word, 1, true) then return act.fileinto("spam") end
  end
end
