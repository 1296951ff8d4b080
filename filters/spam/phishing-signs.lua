--[[
about: Adds up signs of phishing, such as a link that shows one address and leads to another.
parameters:
  into: {about: The folder., default: Suspect}
  points: {about: So many signs it takes., default: 2}
]]
local function domain_of(text)
  local found = re.match([=[^(?:https?://)?(?:[^/@\s]*@)?(?<host>[a-z0-9.-]+\.[a-z]{2,})(?:[:/?#]|\s*$)]=], text)
  return found and found.host:lower()
end

-- The last two labels: close enough to see that two hosts have nothing to do with each other.
local function site(host)
  return host:match("[^.]+%.[^.]+$") or host
end

-- The HTML of the message as it was written: once it is text, where its links lead is gone.
local function html(m)
  for _, part in ipairs(m:parts()) do
    if part.type == "text/html" then return m:part_bytes(part.number, 256 * KB) end
  end
  return ""
end

local function has_false_link(text)
  for link in re.gmatch([=[<a\s[^>]*?href\s*=\s*["']?(?<target>https?://[^"'\s>]+)[^>]*>\s*(?<shown>[^<]+)]=], text) do
    local to, says = domain_of(link.target), domain_of(link.shown)
    if to and says and site(to) ~= site(says) then return link.shown:sub(1, 60) .. " leads to " .. to end
  end
end

local function signs(m)
  local found = {}
  local function sign(text) if text then table.insert(found, text) end end
  local from = m.from.domain:lower()
  -- `"service@bank.example" <x@evil.example>`
  local named = re.match([=[[^\s@]+@(?<domain>[a-z0-9.-]+)]=], m.from.name or "")
  sign(named and site(named.domain:lower()) ~= site(from) and "the name of the sender shows another address")
  sign(from:find("xn--", 1, true) and "the sender's domain is written in foreign letters")
  for _, person in ipairs(m.reply_to) do
    if site(person.domain:lower()) ~= site(from) and m.kind ~= "list" then
      sign("answers go elsewhere")
      break
    end
  end
  sign((m.auth.dmarc == "fail" or m.auth.spf == "fail") and "a trusted server found it forged")
  local source = html(m)
  sign(has_false_link(source))
  sign(re.match([[https?://\d{1,3}(\.\d{1,3}){3}\b]], source .. m:body()) and "a link to a bare number")
  return found
end

return function(m, act)
  local found = signs(m)
  if #found < param.points then return end
  act.addheader("X-Phishing-Signs", table.concat(found, "; "))
  act.fileinto(param.into)
end
