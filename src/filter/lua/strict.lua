-- Tables that know what can be in them: a mistyped name is an error that says so, and what is not there this time is nil.
-- `known` has the names of each kind, `unknown` makes the sentence.
local known, unknown = ...

local kinds = {}
for kind, names in known do
  local is_list = names["#"]
  kinds[kind] = {
    __index = function(_, name)
      if names[name] or (is_list and type(name) == "number") then return nil end
      error(unknown(kind, name), 2)
    end,
    __metatable = kind,
  }
end

-- The parameters of a script are in the table itself.
kinds.param = {
  __index = function(parameters, name)
    local names = {}
    for known_name in next, parameters do names[#names + 1] = known_name end
    error(unknown("param", name, names), 2)
  end,
  __metatable = "param",
}

-- What stands at the end of every look for a global.
kinds.globals = {
  __index = function(_, name) error(unknown("global", name), 2) end,
  __metatable = "globals",
}

return kinds
