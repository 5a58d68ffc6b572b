-- Has wrk send several requests at once: as many as its first argument says.
function init(arguments)
   requests = string.rep(wrk.format(), tonumber(arguments[1]))
end

function request()
   return requests
end
