--[[
about: Patches by mailing list; a series that touches your files stays together, answers included.
parameters:
  under: {about: The folder above them., default: patches}
  paths: {about: "The files and folders you care about, such as drivers/net/.", default: []}
  mine: {about: The folder below it for series that touch them., default: mine}
  list: {about: The database list that remembers those series., default: patches}
lists: {"${list}": {database: true}}
]]
-- What stands before the subject itself: `[netdev] Re: [RFC PATCH v2 3/7] net: …` has the list's tag there, too.
local TAGS = [=[^(?:(?:re|aw|sv|fwd?)\s*:\s*|\[[^\]]*\]\s*)+]=]
-- The mark of a patch in one of these. `RFC` stands alone: `[rfc-interest]` is the tag of a list.
local MARK = [=[\bpatch(?:v\d+)?\b|[\[\s/]rfc(?:v\d+)?[\]\s/]]=]

local function is_marked(subject)
  local tags = re.match(TAGS, subject)
  return tags ~= nil and re.match(MARK, tags[0]) ~= nil
end

-- The Message-ID of the cover letter, or of the first patch: git send-email names it first in References.
local function root(m)
  local first = re.match([[<([^<>\s]+)>]], m:header("References") or m:header("In-Reply-To") or "")
  return first and first[1] or m.message_id
end

-- A patch names a file behind `+++ b/`, a cover letter in its list of changes.
local function touches(text)
  for _, path in ipairs(param.paths) do
    if text:find("\n+++ b/" .. path, 1, true) or text:find("\n " .. path, 1, true) then return true end
  end
  return false
end

local function name(m)
  local list = m.list_id or ""
  return list:match("^[^.]+") or "other"
end

return function(m, act)
  local is_patch = is_marked(m.subject)
  local series = root(m)
  local known = series ~= nil and m:in_list(param.list, series)
  if not is_patch and not known then return end
  if not known and is_patch and touches("\n" .. m:body(1 * MB)) then
    if series then act.add_to_list(param.list, series) end
    known = true
  end
  act.fileinto(param.under .. "/" .. (known and param.mine or path(name(m))))
end
