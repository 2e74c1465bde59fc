#include "engine/host_values.h"

namespace lethe {

std::vector<double> host_values(const Session& session, const std::string& name) {
  std::vector<double> values;
  dispatch_float(session.state()[session.state().require(name)].dtype, name, [&]<class T>() {
    for (const T v : session.get<T>(name))
      values.push_back(static_cast<double>(static_cast<compute_t<T>>(v)));
  });
  return values;
}

void set_host_values(Session& session, const std::string& name, const std::vector<double>& values) {
  dispatch_float(session.state()[session.state().require(name)].dtype, name, [&]<class T>() {
    std::vector<T> typed;
    typed.reserve(values.size());
    for (const double v : values) typed.push_back(static_cast<T>(static_cast<compute_t<T>>(v)));
    session.set(name, typed);
  });
}

}  // namespace lethe
