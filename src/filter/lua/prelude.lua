-- What every script finds: `m`, the message, and `act`, the actions. The three functions are ours and live as long as
-- the call; the tables only give them names.
local field, method, collect, methods, words, unknown = ...

local m
m = setmetatable({}, {
  __index = function(_, name)
    if name == "fields" then
      -- Name, value and what stands in the message, in threes.
      return function(_, ...)
        local all, at = method(name, ...), -2
        return function()
          at = at + 3
          return all[at], all[at + 1], all[at + 2]
        end
      end
    end
    if methods[name] then
      return function(_, ...) return method(name, ...) end
    end
    local value = field(name)
    if value ~= nil then rawset(m, name, value) end
    return value
  end,
  __newindex = function() error("the message cannot be changed; use act", 2) end,
  __metatable = "m",
})

-- Texts are made here: they may call functions of the script, which may not meet ours at work.
local function formatted(format, ...)
  local ok, text
  if select("#", ...) == 0 then
    ok, text = pcall(tostring, format)
  else
    ok, text = pcall(string.format, format, ...)
  end
  if not ok then error(text, 3) end
  return text
end

local act
act = setmetatable({}, {
  __index = function(_, word)
    if not words[word] then error(unknown("act", word), 2) end
    return function(first, ...)
      if word == "log" then
        if first == act then return collect(word, formatted(...)) end
        return collect(word, formatted(first, ...))
      end
      if first == act then return collect(word, ...) end
      return collect(word, first, ...)
    end
  end,
  __newindex = function() error("act cannot be changed", 2) end,
  __metatable = "act",
})

return m, act
