// Time since this process was started.
#pragma once

namespace lethe {

// Seconds, to a hundredth: what the program's loading takes counts. Negative where the system does not say.
double process_seconds();

}  // namespace lethe
