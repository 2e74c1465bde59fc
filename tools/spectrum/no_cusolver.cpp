#include "tools/spectrum/solver.h"

namespace lethe {

std::unique_ptr<SvdSolver> cusolver_solver(std::string& missing) {
  missing = "this build has no CUDA";
  return nullptr;
}

}  // namespace lethe
