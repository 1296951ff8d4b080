-- about: Shows that nothing is kept for the next message.
local count = 0

return function(m, act)
  count = count + 1
  act.log("count %d", count)
end
