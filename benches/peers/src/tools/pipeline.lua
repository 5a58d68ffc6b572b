-- Has wrk send several requests at once: as many as its first argument says.
function init(arguments)
   wrk.init(arguments)
   local count = tonumber(arguments[1])
   requests = string.rep(wrk.format(), count)
end

function request()
   return requests
end
