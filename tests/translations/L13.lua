-- about: Files forwarded messages by who wrote what is attached.
return function(m, act)
  for _, part in ipairs(m:parts()) do
    if part.type == "message/rfc822" then
      local from = re.match([[(?m)^From:.*?([^\s<>]+@[^\s<>]+)]], m:part_bytes(part.number, 65536))
      if from then return act.fileinto("forwarded/" .. path(from[1])) end
    end
  end
end
