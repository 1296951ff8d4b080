--[[
about: Files into a folder.
parameters:
  into: {about: The folder., default: x}
  most: {about: A number., default: 1}
]]
return function(m, act) act.fileinto(param.into .. "/" .. (param.most + 0)) end
