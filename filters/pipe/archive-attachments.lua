--[[
about: Copies attachments into a folder of files, under safe names; the mail stays.
parameters:
  folder: {about: "The folder, from the root on, such as /home/me/Attachments."}
  types: {about: "The beginnings of their types, such as application/pdf.", default: [application/, image/]}
  except:
    about: "The beginnings of types that are left out: signatures, keys, and what is encrypted."
    default: [application/pgp-, application/pkcs7-, application/x-pkcs7-]
  most: {about: Larger ones are left out., default: 50000000}
]]
local function begins_with_one(text, beginnings)
  for _, beginning in ipairs(beginnings) do
    if text:sub(1, #beginning) == beginning then return true end
  end
  return false
end

local function is_wanted(m, part)
  if part.parent and m:parts()[part.parent].type == "multipart/encrypted" then return false end
  if part.size > param.most or begins_with_one(part.type, param.except) then return false end
  return begins_with_one(part.type, param.types)
end

-- A stranger chose the name: no folders in it, nothing hidden, and nothing that a program could take for an option.
local function safe(name)
  name = name:gsub("[/%c\\]", "_"):gsub("^[.-]+", "_")
  return name:sub(-100)
end

return function(m, act)
  if m:parts()[1].type == "multipart/report" then return end -- what a report gives back was yours
  for _, part in ipairs(m:attachments()) do
    if is_wanted(m, part) then
      -- Month, message and number before it: no two attachments have one name, and none is overwritten.
      local month = string.format("%04d-%02d", m.now.year, m.now.month)
      local id = safe(m.message_id or "no-id"):sub(1, 40)
      local file = string.format("%s/%s/%s-%d-%s", param.folder, month, id, part.number, safe(part.filename or "unnamed"))
      -- `install` makes the folders and reads the attachment from its standard input.
      act.pipe({"install", "-m", "600", "-D", "--", "/dev/stdin", file}, {input = part.number, copy = true})
    end
  end
end
