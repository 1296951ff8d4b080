-- about: Notes the language of a message by words that are frequent in it.
local words = {de = {"und", "der", "nicht"}, en = {"and", "the", "not"}, fr = {"et", "les", "pas"}}

return function(m, act)
  local said = " " .. text.lower(m:body(16384)):gsub("[%p%s]+", "  ") .. " "
  local best, most = nil, 0
  for language, list in pairs(words) do
    local n = 0
    for _, word in ipairs(list) do
      for _ in said:gmatch(" " .. word .. " ") do n = n + 1 end
    end
    if n > most then best, most = language, n end
  end
  if best then act.addheader("X-Language", best) end
end
