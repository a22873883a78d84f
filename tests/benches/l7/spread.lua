-- Asks for every line of a file of routes in turn: `HOST PREFIX ADDRESS PROTOCOL`.
local requests, at = {}, 0
-- A prime: neighbours of a table are not asked for one after the other.
local STEP = 7919

function init(arguments)
  for line in io.lines(arguments[1]) do
    local host, path = line:match("(%S+) (%S+)")
    requests[#requests + 1] = wrk.format("GET", path, { ["Host"] = host })
  end
end

function request()
  at = (at + STEP) % #requests
  return requests[at + 1]
end
