--[[
about: What is urgent goes to whoever is on call, by the day of the week.
parameters:
  rota: {about: "Seven addresses, from Monday to Sunday."}
  begins: {about: The hour at which the next one takes over., default: 8}
  words: {about: What makes a subject urgent; an empty list means all mail., default: [alert, down, critical, urgent]}
]]
local function is_urgent(m)
  local subject = m.subject:lower()
  for _, word in ipairs(param.words) do
    if subject:find(word:lower(), 1, true) then return true end
  end
  return #param.words == 0
end

return function(m, act)
  if #param.rota ~= 7 then error("rota needs seven addresses, from Monday to Sunday") end
  if m.spam.flag or not is_urgent(m) then return end
  local day = m.now.weekday
  -- Before the hour it is still the night of the day before.
  if m.now.hour < param.begins then day = (day + 5) % 7 + 1 end
  act.log("%s is on call", param.rota[day])
  act.redirect(param.rota[day], {copy = true})
end
