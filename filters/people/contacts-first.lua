--[[
about: People you know come into the inbox; strangers wait in a folder until you have looked.
parameters:
  list: {about: "The list of people you know; people/harvest fills it, or define it as a file.", default: book}
  into: {about: The folder for strangers., default: Screener}
lists: {"${list}": {database: true}}
]]
-- A sender can be forged: being known brings mail into the inbox, and nothing more.
return function(m, act)
  if m.kind ~= "personal" then return end -- lists, programs and bounces are for other filters
  local who = m.from.addr
  if m:in_list("me", who) or m:in_list(param.list, who) then return act.keep() end
  act.fileinto(param.into)
end
