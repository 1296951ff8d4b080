-- Functions of the library that could go on for hours between two looks at the clock, replaced. `plain` finds plain text
-- in linear time; `matches` gives all matches of an expression, and `expand` puts groups into a text.
local plain, matches, expand = ...

-- A pattern is compared at most so often with a character: a second or two.
local MOST = 2 ^ 30

local find, match, gmatch, gsub, sort, move = string.find, string.match, string.gmatch, string.gsub, table.sort, table.move

local function check(text, pattern)
  if type(text) == "string" and type(pattern) == "string" and #text * #pattern > MOST then
    error("the text is too long for so long a pattern", 3)
  end
end

function string.find(text, pattern, from, is_plain)
  if type(pattern) == "string" and (is_plain or not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]")) then
    return plain(text, pattern, from)
  end
  check(text, pattern)
  return find(text, pattern, from)
end

function string.match(text, pattern, from)
  check(text, pattern)
  return match(text, pattern, from)
end

function string.gmatch(text, pattern)
  check(text, pattern)
  return gmatch(text, pattern)
end

function string.gsub(text, pattern, with, most)
  check(text, pattern)
  return gsub(text, pattern, with, most)
end

function string.split(text, separator)
  separator = separator or ","
  local parts, at = {}, 1
  if separator == "" then
    for i = 1, #text do parts[i] = text:sub(i, i) end
    return parts
  end
  while true do
    local first, last = plain(text, separator, at)
    if not first then break end
    parts[#parts + 1] = text:sub(at, first - 1)
    at = last + 1
  end
  parts[#parts + 1] = text:sub(at)
  return parts
end

local function before(a, b) return a < b end

-- Comparing long texts in a library function is not interrupted, in a function of Lua it is.
function table.sort(list, comes_first)
  sort(list, comes_first or before)
end

function table.move(from, first, last, at, into)
  if type(first) == "number" and type(last) == "number" and last - first > 2 ^ 24 then
    error("too many elements to move", 2)
  end
  return move(from, first, last, at, into)
end

-- Here, and not in ours: what a script gives may call functions of ours again.
function re.gmatch(expression, text)
  local all, at = matches(expression, text), 0
  return function()
    at = at + 1
    return all[at]
  end
end

function re.find(expression, text, from)
  local all = matches(expression, text, from or 1, 1)
  if not all[1] then return nil end
  return all.first[1], all.last[1], all[1]
end

function re.gsub(expression, text, with, most)
  local kind = type(with)
  if kind ~= "string" and kind ~= "function" and kind ~= "table" then
    error("re.gsub puts in a text, what a function returns or what stands in a table", 2)
  end
  -- Without a group in it, a text is put in as it is.
  local is_plain = kind == "string" and not plain(with, "$")
  local is_plain = kind == "string" and not plain(with, "$")
  local all = matches(expression, text, 1, most)
  local parts, at = {}, 1
  text = all.text or text
  for i = 1, #all do
    local found = all[i]
    parts[#parts + 1] = text:sub(at, all.first[i] - 1)
    local value
    if is_plain then
      value = with
    elseif kind == "string" then
      value = expand(with, found)
    elseif kind == "function" then
      value = with(found)
    else
      value = with[found[1] or found[0]]
    end
    if value == nil or value == false then value = found[0] end
    parts[#parts + 1] = value
    at = all.last[i] + 1
  end
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts), #all
end
