// The merge of a base's files with an adapter's, some rows at a time.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "engine/error.h"
#include "engine/files/convert.h"
#include "kernels/matmul.h"
#include "model/merge.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

using Floats = std::vector<float>;

Floats read_floats(const SafetensorsFile& file, const std::string& name, int64_t count) {
  Floats values(static_cast<size_t>(count));
  file.read(name, {values.data(), DType::f32, 0});
  return values;
}

// The update of a tensor's rows: from an adapter's factors, or from the tensor that replaces it.
class Update {
 public:
  Update(const AdapterFiles& adapter, const LinearModule& map, const LoraModule& is)
      : in_(map.in), rank_(is.rank), scale_(is.scale) {
    const std::string prefix = "base_model.model." + map.path;
    a_ = read_floats(*adapter.weights, prefix + ".lora_A.weight", rank_ * in_);
    b_ = read_floats(*adapter.weights, prefix + ".lora_B.weight", map.out * rank_);
    if (adapter.config.use_dora)
      magnitude_ = read_floats(*adapter.weights, prefix + ".lora_magnitude_vector", map.out);
  }
  Update(const AdapterFiles& adapter, std::string replacement, int64_t in)
      : in_(in), adapter_(&adapter), replacement_(std::move(replacement)) {}

  // What the rows [first, first + count) of W become less W, in float32.
  Floats of(const Floats& weight, int64_t first, int64_t count) const {
    Floats change(weight.size());
    if (adapter_ != nullptr) {
      adapter_->weights->read(replacement_, {change.data(), DType::f32, 0}, {first, count});
      for (size_t i = 0; i < change.size(); ++i) change[i] -= weight[i];
      return change;
    }
    const kernels::Rows<const float> b{b_.data() + first * rank_, count, rank_, rank_},
        a{a_.data(), rank_, in_, in_};
    kernels::cpu::matmul<float, float, float>(kernels::MatmulForm::nn, scale_, b, a,
                                              {change.data(), count, in_, in_}, kernels::Write::overwrite,
                                              nullptr);
    for (int64_t r = 0; !magnitude_.empty() && r < count; ++r) {
      float* d = change.data() + r * in_;
      const float* w = weight.data() + r * in_;
      double squares = 0;
      for (int64_t i = 0; i < in_; ++i) squares += std::pow(static_cast<double>(w[i]) + d[i], 2);
      const auto factor = static_cast<float>(magnitude_[static_cast<size_t>(first + r)] / std::sqrt(squares));
      for (int64_t i = 0; i < in_; ++i) d[i] = factor * (w[i] + d[i]) - w[i];
    }
    return change;
  }

 private:
  int64_t in_, rank_ = 0;
  double scale_ = 0;
  Floats a_, b_, magnitude_;
  const AdapterFiles* adapter_ = nullptr;
  std::string replacement_;
};

// One tensor of the merged model as it is written; rows come in order.
class MergedTensorRows {
 public:
  MergedTensorRows(StoredTensor base, const ModelTensor& tensor, StoredType type,
                   std::function<std::unique_ptr<Update>()> open,
                   std::function<void(const MergedUpdate&)> on_update)
      : base_(base),
        name_(tensor.hf_name),
        rows_(tensor.rows),
        width_(tensor.columns),
        type_(type),
        open_(std::move(open)),
        on_update_(std::move(on_update)) {}

  void fill(int64_t first, int64_t count, std::byte* out) {
    // The factors are read when their turn comes: those of one tensor are in memory at a time.
    if (first == 0) {
      squares_ = weight_squares_ = along_ = 0;
      changed_ = 0;
      update_ = open_ ? open_() : nullptr;
    }
    Floats weight(static_cast<size_t>(count * width_));
    base_.read({weight.data(), DType::f32, 0}, {first, count});
    if (update_ == nullptr) return store(weight, out);
    const Floats change = update_->of(weight, first, count);
    Floats sum(weight.size());
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] = weight[i] + change[i];
      if (!std::isfinite(sum[i]))
        throw RequestError(fmt::format("{}: element {} of the merged tensor is not finite", name_,
                                       static_cast<int64_t>(i) + first * width_));
    }
    store(sum, out);
    measure(weight, change, out);
    if (first + count == rows_) finish();
  }

 private:
  void store(const Floats& values, std::byte* out) const {
    const int64_t over =
        to_stored(DType::f32, values.data(), static_cast<int64_t>(values.size()), type_, out);
    if (over >= 0) {
      throw RequestError(
          fmt::format("{}: {} does not fit {}", name_, values[static_cast<size_t>(over)], name_of(type_)));
    }
  }

  void measure(const Floats& weight, const Floats& change, const std::byte* stored) {
    Floats kept(weight.size());
    from_stored(type_, stored, static_cast<int64_t>(kept.size()), DType::f32, kept.data());
    for (size_t i = 0; i < kept.size(); ++i) {
      const double d = change[i], w = weight[i];
      squares_ += d * d;
      weight_squares_ += w * w;
      along_ += (kept[i] - w) * d;
      changed_ += kept[i] != weight[i];
    }
  }

  void finish() {
    update_.reset();
    const int64_t elements = rows_ * width_;
    on_update_({.tensor = name_,
                .relative = weight_squares_ > 0 ? std::sqrt(squares_ / weight_squares_) : 0,
                .survived = squares_ > 0 ? along_ / squares_ : 0,
                .changed = static_cast<double>(changed_) / static_cast<double>(elements),
                .elements = elements});
  }

  StoredTensor base_;
  std::string name_;
  int64_t rows_, width_;
  StoredType type_;
  std::function<std::unique_ptr<Update>()> open_;
  std::function<void(const MergedUpdate&)> on_update_;
  std::unique_ptr<Update> update_;
  double squares_ = 0, weight_squares_ = 0, along_ = 0;
  int64_t changed_ = 0;
};

}  // namespace

MergedModel::MergedModel(const ModelFiles& base, const AdapterFiles& adapter, const LlamaConfig& config)
    : base_(base), adapter_(adapter), config_(config) {}

std::vector<TensorToWrite> MergedModel::tensors(
    std::optional<StoredType> type, const std::function<void(const MergedUpdate&)>& on_update) const {
  const std::vector<LinearModule> maps = linear_modules(config_);
  std::vector<TensorToWrite> made;
  for (const ModelTensor& t : model_tensors(config_)) {
    const StoredTensor stored = base_.require(t.hf_name);
    const std::string module = t.hf_name.substr(0, t.hf_name.rfind('.'));
    std::function<std::unique_ptr<Update>()> open;
    const auto map = std::ranges::find(maps, module, &LinearModule::path);
    const bool is_weight = t.hf_name.ends_with(".weight");
    const auto is = map == maps.end() ? std::nullopt : adapter_of(adapter_.config, module);
    if (!is_weight) {
      // A bias stays as it is.
    } else if (is) {
      open = [this, m = *map, l = *is] { return std::make_unique<Update>(adapter_, m, l); };
    } else if (is_saved_whole(adapter_.config, module)) {
      open = [this, name = "base_model.model." + t.hf_name, in = t.columns] {
        return std::make_unique<Update>(adapter_, name, in);
      };
    }
    const StoredType written = type.value_or(stored.entry->type);
    const auto rows = std::make_shared<MergedTensorRows>(stored, t, written, std::move(open), on_update);
    made.push_back({t.hf_name, written, t.shape(),
                    [rows](int64_t first, int64_t count, std::byte* out) { rows->fill(first, count, out); }});
  }
  return made;
}

}  // namespace lethe
