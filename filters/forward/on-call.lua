--[[
about: What is urgent goes to whoever is on call, by the day of the week.
parameters:
  rota: {about: "Seven addresses, from Monday to Sunday."}
  begins: {about: The hour at which the next one takes over., default: 8}
  words:
    about: "What makes a subject urgent: whole words, or expressions; an empty list means all mail."
    default: ["alerts?", down, critical, urgent]
  lists: {about: "`true`: mail of lists and mail that you can unsubscribe from counts, too.", default: false}
]]
-- What may stand beside a word, so that `down` is not found in `download`: no letter of a script that has capitals.
-- Beside the letters of others, such as Chinese, it may: they put no spaces between words.
local BESIDE = [=[[^\p{Lu}\p{Ll}\p{Lt}\d_]]=]

local function is_urgent(m)
  for _, word in ipairs(param.words) do
    if re.match("(?:^|" .. BESIDE .. ")(?:" .. word .. ")(?:$|" .. BESIDE .. ")", m.subject) then return true end
  end
  return #param.words == 0
end

return function(m, act)
  if #param.rota ~= 7 then error("rota needs seven addresses, from Monday to Sunday") end
  if m.spam.flag or m.kind == "list" and not param.lists then return end
  if not is_urgent(m) then return end
  local day = m.now.weekday
  -- Before the hour it is still the night of the day before.
  if m.now.hour < param.begins then day = (day + 5) % 7 + 1 end
  act.log("%s is on call", param.rota[day])
  act.redirect(param.rota[day], {copy = true})
end
