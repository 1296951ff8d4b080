--[[
about: The 22 rules of the Pigeonhole oracle (tests/it/oracle.rs), by what a script has.
]]
-- Case does not count: `re.match` ignores it in all scripts, `lower` in ASCII.
local function holds(text, what)
  return text ~= nil and text:lower():find(what, 1, true) ~= nil
end

-- Whether any of these fields, of which there may be several, passes.
local function any(values, test)
  for _, value in ipairs(values) do
    if test(value) then return true end
  end
  return false
end

local function any_holds(m, field, what)
  return any(m:headers(field), function(value) return holds(value, what) end)
end

local function any_matches(m, field, expression)
  return any(m:headers(field), function(value) return re.match(expression, value) ~= nil end)
end

-- All addresses of From, as `m.from` is only the first.
local function any_from(m, test)
  return any(m:addresses("From"), test)
end

local function any_address(m, field, what)
  return any(m:addresses(field), function(one) return holds(one.addr, what) end)
end

local files = { "pdf", "zip", "doc", "gif", "jpg", "patch" }

return function(m, act)
  local function into(folder, when)
    if when then act.fileinto(folder, { copy = true }) end
  end
  into("r01", any_holds(m, "Subject", "re:"))
  into("r02", any_from(m, function(one) return re.match([[\.edu$]], one.domain) ~= nil end))
  into("r03", any_matches(m, "Subject", "(?-i)[éüöäåø]"))
  into("r04", m:exists_any("List-Id"))
  into("r05", any_matches(m, "List-Id", "<.*[.].*>"))
  into("r06", m.size > 20 * KB)
  into("r07", m.size > 100 * KB)
  into("r08", re.match("unsubscribe", m:body(1 * MB)) ~= nil)
  into("r09", re.match("free", m:raw_body(1 * MB)) ~= nil)
  into("r10", any_matches(m, "Subject", [=[^(re: *)?\[[a-z0-9_.-]+\]]=]))
  into("r11", any_holds(m, "To", "linux") or any_holds(m, "Cc", "linux"))
  into("r12", any_from(m, function(one)
    local user = one.localpart:lower()
    return user == "mailer-daemon" or user == "postmaster"
  end))
  into("r13", any_holds(m, "Content-Type", "multipart/"))
  into("r14", any(m:parts(), function(part)
    local suffix = part.filename and part.filename:lower():match("%.(%w+)$")
    return suffix ~= nil and table.find(files, suffix) ~= nil
  end))
  into("r15", any(m:headers("Precedence"), function(value)
    value = value:lower()
    return value == "bulk" or value == "list" or value == "junk"
  end))
  into("r16", m.date ~= nil and m.date.year < 2003)
  into("r17", any_matches(m, "Subject", "[の日中件的]"))
  into("r18", any_holds(m, "Received", "microsoft"))
  into("r19", not m:exists_any("Message-ID"))
  into("r20", any_holds(m, "From", "@"))
  into("r21", any_address(m, "From", "yahoo") or any_address(m, "Reply-To", "yahoo") or any_address(m, "Sender", "yahoo"))
  into("r22", any_holds(m, "Subject", "free") and not m:exists_any("List-Id"))
end
