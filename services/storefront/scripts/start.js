// Starts the standalone server with what its own start does not set.

// Longer than any proxy keeps an idle connection: a server that closes first can lose the request that is on its way.
process.env.KEEP_ALIVE_TIMEOUT ??= "75000";
process.env.NEXT_TELEMETRY_DISABLED = "1";

// Next.js ends with 143 after it has answered what it was asked; being stopped is no failure.
process.on("exit", (code) => {
  if (code === 143) process.exitCode = 0;
});

require("./checks.js").answerChecks();
require("./server.js");
