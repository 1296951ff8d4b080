-- about: Gives new questions a number and files answers with it.
return function(m, act)
  local found = re.match([=[\[#(?<n>[0-9]+)\]]=], m.subject)
  local n = found and found.n
  if not n then
    n = act.number("support", {width = 4})
    act.setheader("Subject", "[#" .. n .. "] " .. m.subject)
    act.reply{text = "Your number is " .. n .. "."}
  end
  act.fileinto("tickets/" .. path(n))
end
