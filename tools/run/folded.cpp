#include "tools/run/folded.h"

#include "engine/host_values.h"
#include "model/merge.h"
#include "model/transformer.h"
#include "model/weights/names.h"

namespace lethe {

void fold_adapter(Session& session, const LlamaConfig& config, const LoraConfig& lora) {
  merge_adapters(session, config, lora);
  for (const LinearModule& m : linear_modules(config)) {
    const std::string name = m.path + ".lora_B.weight";
    const int32_t index = session.state().find(name);
    if (index < 0) continue;
    set_host_values(session, name,
                    std::vector<double>(static_cast<size_t>(elements_of(session.state()[index].shape)), 0.0));
  }
  measure_base(session);
}

}  // namespace lethe
