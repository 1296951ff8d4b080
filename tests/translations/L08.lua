-- about: Files alerts by the host that their JSON names.
return function(m, act)
  local ok, alert = pcall(json.decode, m:body())
  if ok and type(alert) == "table" and alert.host then act.fileinto("hosts/" .. path(alert.host)) end
end
