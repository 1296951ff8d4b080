-- about: Adds up the words of spam and those of other mail.
local spam = {viagra = 4, winner = 3, ["click here"] = 2}
local ham = {meeting = 3, patch = 4}

return function(m, act)
  local said, score = text.lower(m.subject .. "\n" .. m:body(32768)), 0
  for word, points in pairs(spam) do
    if said:find(word, 1, true) then score = score + points end
  end
  for word, points in pairs(ham) do
    if said:find(word, 1, true) then score = score - points end
  end
  act.log("score %d", score)
  if score > 3 then act.fileinto("Junk") end
end
