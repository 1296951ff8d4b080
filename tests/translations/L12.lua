-- about: Answers while I am away, by a table of holidays.
local away = {
  {"2036-12-24", "2037-01-02"},
  {"2037-04-01", "2037-04-10"},
}

return function(m, act)
  local today = ("%04d-%02d-%02d"):format(m.now.year, m.now.month, m.now.day)
  for _, days in ipairs(away) do
    if today >= days[1] and today <= days[2] then act.vacation("Back after " .. days[2] .. ".", {days = 3}) end
  end
end
