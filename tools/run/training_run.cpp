#include "tools/run/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "engine/checkpoint.h"
#include "engine/host_values.h"
#include "engine/log.h"
#include "engine/rng.h"
#include "engine/step_inputs.h"
#include "model/weights/gguf_model.h"
#include "model/weights/save.h"
#include "model/weights/side_files.h"
#include "tools/run/chat_files.h"
#include "tools/run/fit.h"
#include "tools/run/memory_budget.h"
#include "tools/run/model_tokenizer.h"
#include "tools/run/pissa.h"
#include "tools/run/proof.h"
#include "tools/run/snapshot_room.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string checkpoint_folder(const TrainOptions& options) {
  return options.output + "/checkpoints";
}

OptimizerOptions optimizer_of(const TrainOptions& o) {
  GroupingOptions grouping;
  if (o.method == "lora" && o.lora.plus_ratio != 1) {
    grouping.learning_rate_multipliers = {{".lora_B.", o.lora.plus_ratio}};
  }
  return {.name = o.optimizer.name,
          .learning_rate = o.optimizer.learning_rate,
          .beta1 = o.optimizer.beta1,
          .beta2 = o.optimizer.beta2,
          .epsilon = o.optimizer.epsilon,
          .weight_decay = o.optimizer.weight_decay,
          .max_gradient_norm = o.train.max_gradient_norm,
          .grouping = grouping};
}

ScheduleOptions schedule_options_of(const TrainOptions& o) {
  return {.name = o.schedule.name,
          .warmup = o.schedule.warmup,
          .alpha_f = o.schedule.alpha_f,
          .scale = o.schedule.scale,
          .cooldown = o.schedule.cooldown,
          .alpha_f_decay = o.schedule.alpha_f_decay,
          .alpha_f_cooldown = o.schedule.alpha_f_cooldown};
}

// How many steps the configured duration makes with this data.
RunLength run_length_of(const TrainOptions& o, const RunData& data) {
  const auto rows = static_cast<double>(data.rows_per_epoch());
  RunLength length;
  length.steps_per_epoch = rows / static_cast<double>(o.train.batch_size);
  length.tokens_per_step =
      static_cast<double>(data.tokens_per_epoch()) / rows * static_cast<double>(o.train.batch_size);
  length.steps = steps_of(o.train.duration, length, "train.duration");
  if (length.steps < 1)
    throw ConfigError("train.duration", text_of(o.train.duration) + " is less than one step");
  return length;
}

// Rows of a step's batch as its micro-batches. One of them may be without a target, the step may not.
std::vector<MicroBatch> split(const Batch& batch, int64_t parts) {
  const auto size = static_cast<size_t>(batch.rows / parts * batch.tokens_per_row);
  std::vector<MicroBatch> made;
  for (size_t first = 0; first < batch.ids.size(); first += size) {
    const auto cut = [&](const std::vector<int32_t>& values) {
      return std::span(values).subspan(first, size);
    };
    MicroBatch part{cut(batch.ids),
                    cut(batch.labels),
                    cut(batch.positions),
                    cut(batch.document_start),
                    static_cast<int64_t>(first),
                    0};
    part.targets = std::ranges::count_if(part.labels, [](int32_t label) { return label != ignored_label; });
    made.push_back(part);
  }
  return made;
}

nlohmann::json parse_state(const std::string& file, const std::string& text) {
  try {
    nlohmann::json state = nlohmann::json::parse(text);
    for (const char* key : {"format", "model", "tokenizer", "data", "method"})
      state.at(key).get_ref<const std::string&>();
    for (const char* key : {"step", "data_position", "tokens", "targets"}) {
      if (!state.at(key).is_number_unsigned())
        throw FormatError(file, key, "must be a whole number, is " + state.at(key).dump());
    }
    return state;
  } catch (const nlohmann::json::exception& e) {
    throw FormatError(file, "", fmt::format("is not a checkpoint's state: {}", e.what()));
  }
}

// Of another template the ids would be others, which no count of them tells.
void require_same_chat(const std::string& file, const nlohmann::json& saved,
                       const std::optional<ChatTemplate>& now) {
  const auto found = saved.find("chat_template");
  const bool had = found != saved.end() && !found->is_null();
  const std::string before = had ? ChatTemplate::from_json(*found, file).hash() : "";
  if (before == (now ? now->hash() : "")) return;
  throw FormatError(
      file, "chat_template",
      fmt::format("is {} in the checkpoint and {} in this run", had ? found->at("name").dump() : "absent",
                  now ? fmt::format("\"{}\", hash {}", now->name(), now->hash()) : "absent"));
}

// Of the forward passes: sums, borrowed weights and what follows from them are each rank's own.
uint64_t hash_of_programs(const Session& session) {
  std::string text;
  for (size_t p = 0; p < session.program_count(); ++p) {
    const Tape& tape = session.program(p);
    for (const Node& node : tape.nodes()) {
      if (node.phase != Phase::forward || node.stream != 0) continue;
      text += fmt::format("{} {}", node.op->name(), node.path);
      const auto add = [&](Var v) {
        const TensorInfo& t = tape.info(v);
        text += fmt::format(" {} {} {}", t.path, name_of(t.dtype), text_of(t.shape));
      };
      for (const Var v : node.inputs) add(v);
      for (const Output& o : node.outputs) add(o.var);
    }
  }
  return stream_of(text);
}

// Of the first row of each weight: other weights under the same names and shapes are found out.
uint64_t hash_of_weights(const Session& session) {
  std::string bytes;
  for (int32_t i = 0; i < session.state().size(); ++i) {
    if (session.state()[i].kind != Kind::weight || !session.state().is_whole(i)) continue;
    if (session.state()[i].owner >= 0) continue;
    const Buffer b = session.buffer(i);
    if (b.rows == 0) continue;
    const size_t begin = bytes.size();
    const int64_t row = b.width * size_of(b.dtype);
    bytes.resize(begin + static_cast<size_t>(row));
    session.backend().download(bytes.data() + begin, b.data, row);
  }
  return stream_of(bytes);
}

uint64_t hash_of_tokens(const Batch& batch) {
  std::string bytes;
  for (const std::vector<int32_t>* values : {&batch.ids, &batch.labels})
    bytes.append(reinterpret_cast<const char*>(values->data()), values->size() * sizeof(int32_t));
  return stream_of(bytes);
}

ExaminationRules rules_of(const TrainOptions::Eval& eval) {
  return {.learning = eval.learning,
          .forgetting = eval.forgetting,
          .stop_when_forgotten = eval.stop_when_forgotten,
          .max_share_of_time = eval.max_share_of_time};
}

// The base of a run's adapter once more.
ModelSource source_again(const PreparedRun& run) {
  if (run.model.files) return open_model_folder(run.model.path);
  ModelSource fresh;
  fresh.config = run.model.config;
  fresh.initial_seed = run.model.initial_seed;
  return fresh;
}

}  // namespace

ProgramSpec program_spec_of(const TrainOptions& options, const LlamaConfig& model) {
  LlamaConfig config = model;
  if (options.train.attention_dropout >= 0) config.attention_dropout = options.train.attention_dropout;
  return {.config = config,
          .lora = lora_of(options, config),
          .precision = precision_of(options),
          .recompute = recompute_from(options.train.recompute),
          .recompute_layers = options.train.recompute_layers,
          .rows = options.train.micro_batch_size,
          .tokens = options.data.sequence_length,
          .deterministic = options.train.deterministic,
          .accumulate = options.train.batch_size > options.train.micro_batch_size,
          .optimizer = optimizer_of(options),
          .divergence = !options.eval.divergence.empty()};
}

PreparedRun prepare_run(const TrainOptions& options, std::shared_ptr<Comm> comm) {
  ModelSource model = open_model(options.model);
  if (options.data.sequence_length > model.config.max_position_embeddings) {
    throw ConfigError("data.sequence_length",
                      fmt::format("{} is beyond the model's max_position_embeddings of {}",
                                  options.data.sequence_length, model.config.max_position_embeddings));
  }
  return prepare_run(options, std::move(model), prepare_data(options), std::move(comm));
}

PreparedRun prepare_run(const TrainOptions& options, ModelSource model, RunData data,
                        std::shared_ptr<Comm> comm) {
  if (!comm) comm = make_self_comm();
  const int64_t micro_batches = options.train.batch_size / options.train.micro_batch_size;
  const Share share = share_of(micro_batches, comm->rank(), comm->world());
  if (data.tokenizer->vocab_size() > model.config.vocab_size) {
    throw DataError(fmt::format("{}: its {} pieces do not fit the model's vocab_size of {}",
                                options.data.tokenizer, data.tokenizer->vocab_size(),
                                model.config.vocab_size));
  }
  const RunLength length = run_length_of(options, data);
  require_targets(data, options, length.steps);
  ProgramSpec spec = program_spec_of(options, model.config);
  spec.documents = documents_of(data, spec.rows);
  spec.accumulate = micro_batches > comm->world();
  spec.distribution = {.comm = comm,
                       .sharding = sharding_from(options.distributed.sharding),
                       .sum_each_micro_batch = options.train.deterministic,
                       .bucket_bytes = options.distributed.bucket_mb << 20,
                       .alone_too = options.distributed.engine == "nccl"};
  return {.options = options,
          .model = std::move(model),
          .data = std::move(data),
          .spec = spec,
          .schedule = schedule_spec(schedule_options_of(options), length),
          .steps = length.steps,
          .micro_batches = micro_batches,
          .share = share,
          .comm = std::move(comm)};
}

TrainingRun::TrainingRun(PreparedRun prepared, std::shared_ptr<CudaTrace> trace)
    : prepared_(std::move(prepared)),
      programs_(record_programs(prepared_.spec)),
      loader_(prepared_.data.loader(static_cast<uint64_t>(prepared_.options.data.shuffle_seed))),
      examinations_(rules_of(prepared_.options.eval)) {
  const TrainOptions& o = prepared_.options;
  auto backend = make_backend({.device = o.device,
                               .threads = static_cast<int>(o.threads),
                               .graph = o.train.graph,
                               .trace = std::move(trace),
                               .tuned_products = o.train.tuned_products,
                               .comm = prepared_.device_comm});
  if (prepared_.comm->world() > 1 && backend->device().kind != DeviceKind::cpu && !prepared_.device_comm)
    throw ConfigError("device", o.device + " is a GPU, and nothing joins the processes' GPUs");
  const int64_t budget = memory_budget(o.memory_budget_gb, *backend);
  session_ = make_session(programs_, prepared_.spec, std::move(backend), budget);
  trainer_.emplace(*session_, *programs_.step);
  ignored_.assign(static_cast<size_t>(prepared_.spec.rows * prepared_.spec.tokens), ignored_label);
  fill_model(*session_, prepared_.model);
  if (prepared_.spec.lora)
    initialise_lora(*session_, static_cast<uint64_t>(o.train.seed), prepared_.spec.lora->gaussian_init);
  begin_with_principal_factors();
  initialise_optimizer(*session_);
  session_->set<int64_t>(step::seed, {o.train.seed});
  if (programs_.divergence) divergence_.emplace(*session_, *programs_.divergence);
}

void TrainingRun::begin_with_principal_factors() {
  const TrainOptions& o = prepared_.options;
  const bool begun = !o.output.empty() && newest_checkpoint(checkpoint_folder(o)).has_value();
  const bool wanted = o.method == "lora" && o.lora.init == "pissa";
  if (begun && wanted != std::filesystem::exists(o.output + "/first_factors")) {
    throw ConfigError("lora.init",
                      fmt::format("the run in {} began {} pissa", o.output, wanted ? "without" : "with"));
  }
  if (!wanted) return;
  const LlamaConfig& config = prepared_.spec.config;
  const LoraConfig& lora = *prepared_.spec.lora;
  const std::string folder = o.output + "/first_factors";
  if (begun) {
    first_factors_ = load_first_factors(folder, config, lora);
    for (const auto& [name, values] : first_factors_) set_host_values(*session_, name, values);
  } else {
    first_factors_ = set_principal_factors(*session_, config, lora, o.lora.pissa_passes,
                                           static_cast<uint64_t>(o.train.seed));
    if (!o.output.empty() && is_first()) save_first_factors(folder, *session_, config, lora, first_factors_);
  }
  take_from_base(*session_, config, lora, first_factors_);
}

int64_t TrainingRun::trainable_parameters() const {
  int64_t n = 0;
  for (const int32_t p : session_->state().trainable()) n += elements_of(session_->state()[p].shape);
  return n;
}

StepRecord TrainingRun::complete(StepRecord record, const StepResult& result) {
  const double seconds = std::chrono::duration<double>(result.finished - last_finished_).count();
  last_finished_ = result.finished;
  record.result = result;
  ++steps_taken_;
  moved_ = moved_ || result.parameters_moved > 0;
  double held = 0;  // by the copy of the state before this step
  if (checkpoints_ && record.step == saved_step_ + 1) held = checkpoints_->held_seconds().value_or(0);
  record.checkpoint_seconds += held;
  record.communication_seconds = result.waited_seconds;
  record.compute_seconds = std::max(0.0, seconds - record.data_seconds - held - result.waited_seconds);
  trained_seconds_ += record.compute_seconds + record.communication_seconds + record.data_seconds;
  record.share_moved = static_cast<double>(result.parameters_moved) /
                       static_cast<double>(std::max<int64_t>(1, trainable_parameters()));
  return record;
}

std::optional<StepRecord> TrainingRun::queue_step() {
  const TrainOptions& o = prepared_.options;
  const auto start = Clock::now();
  if (!trainer_->pending()) last_finished_ = start;
  const Batch batch = loader_.at(loader_.position(), o.train.batch_size);
  const std::vector<MicroBatch> micro_batches = split(batch, prepared_.micro_batches);
  for (const MicroBatch& part : micro_batches) {
    require_documents(part.document_start, batch.tokens_per_row, prepared_.spec.documents);
  }
  const double data_seconds = trainer_->busy() ? 0 : seconds_since(start);

  const std::vector<double> rates =
      learning_rates(session_->state(), *prepared_.spec.optimizer, prepared_.schedule, step_);
  const double rate = o.optimizer.learning_rate * multiplier(prepared_.schedule, step_);
  int64_t targets = 0;
  for (const MicroBatch& m : micro_batches) targets += m.targets;
  const std::optional<StepResult> before =
      trainer_->step(my_micro_batches(micro_batches), step_ + 1, rates, targets);
  std::optional<StepRecord> record;
  if (before) record = complete(queued_, *before);

  loader_.seek(loader_.position() + static_cast<uint64_t>(o.train.batch_size));
  ++step_;
  tokens_ += batch.tokens;
  targets_ += targets;
  queued_ = {.step = step_,
             .steps = prepared_.steps,
             .learning_rate = rate,
             .tokens = tokens_,
             .targets = targets_,
             .step_tokens = batch.rows * batch.tokens_per_row,
             .step_unpadded = batch.tokens,
             .data_seconds = data_seconds,
             .checkpoint_seconds = std::exchange(stall_seconds_, 0)};
  return record;
}

// As many on each rank, who sum at the same places: one without a target where this rank has one less.
std::vector<MicroBatch> TrainingRun::my_micro_batches(const std::vector<MicroBatch>& all) const {
  const auto mine = all.begin() + prepared_.share.first;
  std::vector<MicroBatch> found(mine, mine + prepared_.share.count);
  const int64_t world = prepared_.comm->world();
  if (prepared_.share.count < (prepared_.micro_batches + world - 1) / world) {
    found.push_back(found.back());
    found.back().labels = ignored_;
    found.back().targets = 0;
  }
  return found;
}

std::optional<StepRecord> TrainingRun::finish_step() {
  const std::optional<StepResult> result = trainer_->finish();
  if (!result) return std::nullopt;
  return complete(queued_, *result);
}

std::vector<Evaluation> TrainingRun::evaluate_all() {
  std::vector<Evaluation> found;
  for (const Domain& d : prepared_.data.domains) {
    found.push_back(evaluate_domain(*session_, programs_.evaluate, programs_.losses, prepared_.spec.rows, d,
                                    prepared_.options.train.eval_batches, prepared_.spec.documents,
                                    prepared_.comm.get()));
  }
  return found;
}

std::vector<Measure> TrainingRun::measure_all() {
  std::vector<Measure> found;
  for (const Evaluation& e : evaluate_all()) {
    found.push_back({.name = "loss of " + e.domain,
                     .value = e.loss,
                     .standard_error = e.standard_error,
                     .count = e.targets,
                     .lower_is_better = true});
  }
  const TrainOptions& o = prepared_.options;
  for (const std::string& name : o.eval.divergence) {
    const auto domain = std::ranges::find(prepared_.data.domains, name, &Domain::name);
    found.push_back(divergence_->measure(*session_, prepared_.spec.rows, *domain, o.train.eval_batches,
                                         prepared_.spec.documents));
  }
  if (!prepared_.spec.examiner) return found;
  const auto save = [&]() -> SavedModel {
    const std::string folder = o.output + "/examined";
    write_model_at_once(folder);
    return prepared_.spec.lora ? SavedModel{prepared_.model.path, folder} : SavedModel{folder, ""};
  };
  const std::vector<Measure> asked = prepared_.spec.examiner->examine(*session_, save);
  found.insert(found.end(), asked.begin(), asked.end());
  return found;
}

Examination TrainingRun::examine() {
  const auto start = Clock::now();
  std::vector<Measure> measures = measure_all();
  const Examination made = examinations_.take(step_, tokens_, seconds_since(start), std::move(measures));
  if (made.best && prepared_.options.eval.keep_best && step_ > 0)
    write_model_at_once(prepared_.options.output + "/best");
  return made;
}

bool TrainingRun::examination_is_due(bool last) const {
  const int64_t every = prepared_.options.eval.every;
  if (every == 0) return false;
  if (last) return true;
  if (step_ % every != 0) return false;
  const double to_come =
      trained_seconds_ / static_cast<double>(step_) * static_cast<double>(prepared_.steps - step_);
  // One clock decides for all ranks.
  int64_t affordable = examinations_.affordable(trained_seconds_, to_come) ? 1 : 0;
  prepared_.comm->broadcast(&affordable, sizeof affordable, 0);
  if (affordable == 0)
    log::info(fmt::format("step {}: not measured, it would pass eval.max_share_of_time", step_));
  return affordable != 0;
}

// In the place of what was there only when all is written.
void TrainingRun::write_model_at_once(const std::string& folder) const {
  namespace fs = std::filesystem;
  const std::unique_ptr<Session> whole = gathered_model();
  if (!is_first()) return;
  const std::string partial = folder + ".partial";
  fs::remove_all(partial);
  write_model_to(partial, whole ? *whole : *session_);
  fs::remove_all(folder);
  fs::rename(partial, folder);
}

std::unique_ptr<Session> TrainingRun::gathered_model() const {
  if (!borrows()) return nullptr;
  std::unique_ptr<Session> whole;
  if (is_first()) {
    ProgramSpec spec = prepared_.spec;
    spec.optimizer.reset();
    spec.examiner.reset();
    spec.distribution = {};
    spec.rows = 1;
    Programs programs = record_programs(spec, false);
    whole = make_session(programs, spec, make_cpu_backend(), -1);
  }
  Comm& comm = *prepared_.comm;
  for (int32_t i = 0; i < session_->state().size(); ++i) {
    const PersistentInfo& p = session_->state()[i];
    if (p.kind != Kind::weight || p.parent >= 0) continue;
    const int64_t row = p.width() * size_of(p.dtype);
    std::vector<std::byte> values(static_cast<size_t>(p.rows() * row));
    if (!p.absent) {
      const Buffer b = session_->buffer(i);
      session_->backend().download_rows(values.data(), b.data, b.pitch * size_of(b.dtype), row, b.rows);
    }
    if (p.owner >= 0) comm.broadcast(values.data(), static_cast<int64_t>(values.size()), p.owner);
    if (!whole) continue;
    const Buffer to = whole->buffer(p.name);
    whole->backend().upload_rows(to.data, to.pitch * size_of(to.dtype), values.data(), row, to.rows);
  }
  return whole;
}

int64_t TrainingRun::train(const RunObserver& observer) {
  prepare_checkpoints();
  try {
    train_steps(observer);
  } catch (const DivergedError&) {  // which all ranks know of
    finish_last_checkpoint();
    throw;
  } catch (...) {
    if (prepared_.comm->world() == 1) finish_last_checkpoint();
    throw;
  }
  on_checkpoints([](CheckpointWriter& writer) { writer.finish(); });
  report_checkpoints(observer);
  return step_;
}

void TrainingRun::train_steps(const RunObserver& observer) {
  const TrainOptions::Train& t = prepared_.options.train;
  Position& position = *session_->backend().position();
  const auto evaluate_now = [&] {
    for (const Evaluation& e : evaluate_all()) {
      if (observer.on_evaluation) observer.on_evaluation({step_, tokens_, e});
    }
  };
  // The state before the first step is a measurement too: what is learned and forgotten counts from there.
  if (step_ == 0 && t.eval_every > 0) evaluate_now();
  const auto examine_now = [&] {
    const Examination made = examine();
    if (observer.on_examination) observer.on_examination(made);
    forgot_too_much_ = on_any_rank(*prepared_.comm, made.stops);
  };
  if (!examinations_.begun() && prepared_.options.eval.every > 0) examine_now();
  const auto report = [&](const std::optional<StepRecord>& record) {
    if (record && observer.on_step) observer.on_step(*record);
  };
  while (step_ < prepared_.steps) {
    if (observer.before_step) observer.before_step(step_ + 1);
    report(queue_step());
    on_checkpoints([](CheckpointWriter& writer) { writer.poll(); });
    report_checkpoints(observer);
    const bool last = step_ == prepared_.steps;
    const bool measure = t.eval_every > 0 && (last || step_ % t.eval_every == 0);
    if (measure) {
      report(finish_step());
      evaluate_now();
    }
    if (examination_is_due(last)) {
      report(finish_step());
      examine_now();
    }
    position.between("asks the others whether to go on", prepared_.comm->world() > 1);
    const bool stop =
        on_any_rank(*prepared_.comm, observer.should_stop && observer.should_stop()) || forgot_too_much_;
    position.between(nullptr);
    const bool asked = observer.should_save && observer.should_save(step_);
    const bool save = stop || last || asked || (t.save_every > 0 && step_ % t.save_every == 0);
    if (save) {
      report(finish_step());
      position.between("saves a checkpoint");
      save_checkpoint();
      position.between(nullptr);
    }
    if (stop) break;
  }
}

std::string TrainingRun::state_json() const {
  nlohmann::json state{{"format", "lethe-checkpoint-1"},
                       {"step", step_},
                       {"data_position", loader_.position()},
                       {"tokens", tokens_},
                       {"targets", targets_},
                       {"model", prepared_.model.fingerprint},
                       {"tokenizer", prepared_.data.tokenizer->fingerprint()},
                       {"data", data_fingerprint(prepared_.data, prepared_.options.data)},
                       {"method", prepared_.options.method},
                       {"chat_template", prepared_.data.chat ? prepared_.data.chat->json() : nullptr}};
  if (prepared_.options.eval.every > 0)
    state["examinations"] = {{"state", examinations_.state()}, {"trained_seconds", trained_seconds_}};
  return state.dump(1) + "\n";
}

Facts TrainingRun::facts() const {
  const auto hash = [](uint64_t value) { return fmt::format("{:016x}", value); };
  const Batch next = loader_.at(loader_.position(), prepared_.options.train.batch_size);
  return {{"model", prepared_.model.fingerprint},
          {"tokenizer", prepared_.data.tokenizer->fingerprint()},
          {"data", data_fingerprint(prepared_.data, prepared_.options.data)},
          {"steps", std::to_string(prepared_.steps)},
          {"program", hash(hash_of_programs(*session_))},
          {"first step", std::to_string(step_ + 1)},
          {"first weights", hash(hash_of_weights(*session_))},
          {"first tokens", hash(hash_of_tokens(next))}};
}

void TrainingRun::prepare_checkpoints() {
  if (checkpoints_ || prepared_.options.output.empty()) return;
  make_checkpoint_writer();
  trainer_->set_before_update([writer = checkpoints_.get()] { writer->before_update(); });
}

// The memory may be refused on one rank alone: all then do without, or none begins.
void TrainingRun::make_checkpoint_writer() {
  const TrainOptions& o = prepared_.options;
  Comm& comm = *prepared_.comm;
  const State& state = session_->state();
  const std::vector<int32_t> tensors = tensors_to_save(state);
  const auto make = [&](bool beside) {
    checkpoints_ = std::make_unique<CheckpointWriter>(
        *session_, tensors, CheckpointWriter::Options{checkpoint_folder(o), o.train.keep_checkpoints, beside},
        &comm);
  };
  if (asks_for_snapshot(o, prepared_.steps) &&
      has_room_for_snapshot(o, *session_,
                            Snapshot::bytes_of(state, written_by(state, tensors, comm.rank(), comm.world())),
                            comm)) {
    std::string refused;
    try {
      make(true);
    } catch (const MemoryError& e) {
      refused = e.what();
    }
    if (!on_any_rank(comm, !refused.empty())) return;
    checkpoints_.reset();
    if (o.train.checkpoint_async == "true") {
      throw MemoryError("train.checkpoint_async",
                        refused.empty() ? "another process found no memory for its snapshot" : refused);
    }
    log::info("checkpoints are written while training waits: " + refused);
  }
  make(false);
}

void TrainingRun::on_checkpoints(const std::function<void(CheckpointWriter&)>& work) {
  if (!checkpoints_) return;
  try {
    work(*checkpoints_);
  } catch (const CommError&) {  // another rank is gone: not all know
    throw;
  } catch (const RunError& e) {
    const auto last = newest_checkpoint(checkpoint_folder(prepared_.options));
    const std::string text =
        fmt::format("the checkpoint of step {} was not written ({}); {}", checkpoints_->step(), e.what(),
                    last ? fmt::format("that of step {} is whole, --resume goes on from it", last->step)
                         : std::string("there is no earlier one"));
    if (prepared_.comm->world() > 1) throw SharedFailure{1, text};
    throw RunError(text);
  }
}

void TrainingRun::save_checkpoint() {
  const auto start = Clock::now();
  on_checkpoints([&](CheckpointWriter& writer) { writer.save(step_, state_json()); });
  saved_step_ = step_;
  stall_seconds_ += seconds_since(start);
}

void TrainingRun::report_checkpoints(const RunObserver& observer) {
  if (!checkpoints_) return;
  while (const std::optional<CheckpointTimes> times = checkpoints_->take_times()) {
    if (observer.on_checkpoint) observer.on_checkpoint(*times);
  }
}

void TrainingRun::finish_last_checkpoint() {
  if (!checkpoints_) return;
  try {
    checkpoints_->finish();
  } catch (const RunError& e) {
    log::warning(
        fmt::format("the checkpoint of step {} was not written ({})", checkpoints_->step(), e.what()));
  }
}

void TrainingRun::restore_examinations(const std::string& file, const nlohmann::json& saved) {
  if (prepared_.options.eval.every == 0) return;
  const auto found = saved.find("examinations");
  if (found == saved.end()) {
    throw ConfigError("eval.every",
                      fmt::format("must be 0: {} is of a run that did not measure its base", file));
  }
  try {
    examinations_.restore(found->at("state"));
    trained_seconds_ = found->at("trained_seconds");
  } catch (const nlohmann::json::exception& e) {
    throw FormatError(file, "examinations", e.what());
  }
}

int64_t TrainingRun::resume() {
  const std::string folder = checkpoint_folder(prepared_.options);
  const auto found = newest_checkpoint(folder);
  if (!found) {
    log::info(fmt::format("no complete checkpoint in {}: starting at step 0 of {}", folder, prepared_.steps));
    return 0;
  }
  const std::string file = found->directory + "/state.json";
  const nlohmann::json saved = parse_state(file, read_checkpoint_state(*found));
  const nlohmann::json now = nlohmann::json::parse(state_json());
  for (const char* key : {"format", "model", "tokenizer", "data", "method"}) {
    if (saved.at(key) != now.at(key)) {
      throw FormatError(file, key,
                        fmt::format("is {} in the checkpoint and {} in this run", saved.at(key).dump(),
                                    now.at(key).dump()));
    }
  }
  require_same_chat(file, saved, prepared_.data.chat);
  restore_examinations(file, saved);
  load_checkpoint(*found, *session_, tensors_to_save(session_->state()));
  step_ = saved.at("step");
  tokens_ = saved.at("tokens");
  targets_ = saved.at("targets");
  loader_.seek(saved.at("data_position").get<uint64_t>());
  log::info(fmt::format("resumed {} at step {} of {}", found->directory, step_, prepared_.steps));
  return step_;
}

std::string TrainingRun::export_model(const std::string& folder) {
  if (steps_taken_ > 0 && !moved_) {
    throw RunError(fmt::format("{} is not written: in {} steps no weight changed", folder, steps_taken_));
  }
  std::vector<float> original;
  if (is_first() || borrows()) original = probed_logits();
  const std::unique_ptr<Session> whole = gathered_model();
  if (!is_first()) return folder;
  const Proof proof = write_proven(
      folder, [&](const std::string& to) { write_model_to(to, whole ? *whole : *session_); },
      [&](const std::string& from) { return prove_model(from, original); });
  log::info(fmt::format("{}: {}", folder, text_of(proof)));
  return folder;
}

std::vector<float> TrainingRun::probed_logits() {
  const ProgramSpec& spec = prepared_.spec;
  return probe_logits(*session_, programs_.evaluate, programs_.logits, spec.rows, spec.tokens,
                      make_probe(spec.config.vocab_size, spec.rows, spec.tokens));
}

// Held against the model in memory, on the same device if a second model fits there.
Proof TrainingRun::prove_model(const std::string& folder, const std::vector<float>& original) {
  const ProgramSpec& spec = prepared_.spec;
  const Probe probe = make_probe(spec.config.vocab_size, spec.rows, spec.tokens);
  const bool is_cpu = session_->backend().device().kind == DeviceKind::cpu;
  InferenceOptions options{.adapter = spec.lora ? folder : "",
                           .precision = prepared_.options.precision,
                           .device = is_cpu ? "cpu" : prepared_.options.device,
                           .rows = probe.rows,
                           .tokens = probe.tokens,
                           .threads = prepared_.options.threads};
  const auto load = [&] {
    return InferenceModel(spec.lora ? source_again(prepared_) : open_model_folder(folder), options);
  };
  std::optional<InferenceModel> loaded;
  try {
    loaded.emplace(load());
  } catch (const MemoryError&) {
    if (is_cpu) throw;
    options.device = "cpu";
    loaded.emplace(load());
  }
  const std::vector<float> found = probe_logits(loaded->session(), loaded->programs().evaluate,
                                                loaded->programs().logits, probe.rows, probe.tokens, probe);
  return compare_logits(original, found, spec.config.vocab_size, spec.config.num_hidden_layers,
                        roundoff_of(spec.precision.compute));
}

void TrainingRun::write_model_to(const std::string& folder, const Session& session) const {
  if (prepared_.spec.lora) {
    const BaseReference base = base_reference(prepared_.model);
    LoraConfig lora = *prepared_.spec.lora;
    lora.base_revision = base.revision;
    if (first_factors_.empty()) {
      save_adapter(folder, session, lora, prepared_.model.config, base.name);
    } else {
      save_beside_base(folder, session, prepared_.model.config, lora, first_factors_, base.name);
    }
  } else {
    save_model(folder, session, prepared_.model.config);
    const std::string& base = prepared_.model.path;
    if (is_gguf(base)) {
      save_gguf_side_files(base, folder);
    } else if (!base.empty()) {
      copy_side_files(base, folder);
    }
    // Beside the model, so that its folder is all that `lethe generate` needs.
    prepared_.data.tokenizer->save(folder);
  }
  if (prepared_.data.chat) write_chat_template(folder, *prepared_.data.chat);
}

}  // namespace lethe
