#include "engine/backend/cuda_trace.h"

#include <cupti.h>
#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_map>

#include "engine/error.h"

namespace lethe {
namespace {

using Kind = TimelineRecord::Kind;

constexpr size_t kBufferBytes = size_t{8} << 20;

// The functions of the library that are used here.
struct Cupti {
  void* library = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
  decltype(&cuptiActivityGetNumDroppedRecords) dropped = nullptr;
  decltype(&cuptiActivityPushExternalCorrelationId) push = nullptr;
  decltype(&cuptiActivityPopExternalCorrelationId) pop = nullptr;
  decltype(&cuptiGetTimestamp) timestamp = nullptr;
  decltype(&cuptiGetCallbackName) callback_name = nullptr;
  decltype(&cuptiGetResultString) result_text = nullptr;

  void check(CUptiResult status, const char* what) const {
    if (status == CUPTI_SUCCESS) return;
    const char* text = nullptr;
    result_text(status, &text);
    throw DeviceError("CUPTI", fmt::format("{}: {}", what, text ? text : "unknown error"));
  }
};

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw DeviceError("CUPTI", fmt::format("the library has no {}", name));
}

Cupti load_cupti() {
  static constexpr const char* kNames[] = {"libcupti.so.13", "/usr/local/cuda/lib64/libcupti.so.13",
                                           "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so.13"};
  Cupti c;
  for (const char* name : kNames) {
    if (!c.library) c.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (!c.library) {
    throw DeviceError("--trace",
                      fmt::format("needs CUPTI, which is part of the CUDA toolkit: {} was not found; "
                                  "its folder belongs on LD_LIBRARY_PATH",
                                  kNames[0]));
  }
  find(c.library, "cuptiActivityEnable", c.enable);
  find(c.library, "cuptiActivityDisable", c.disable);
  find(c.library, "cuptiActivityRegisterCallbacks", c.register_callbacks);
  find(c.library, "cuptiActivityFlushAll", c.flush);
  find(c.library, "cuptiActivityGetNextRecord", c.next_record);
  find(c.library, "cuptiActivityGetNumDroppedRecords", c.dropped);
  find(c.library, "cuptiActivityPushExternalCorrelationId", c.push);
  find(c.library, "cuptiActivityPopExternalCorrelationId", c.pop);
  find(c.library, "cuptiGetTimestamp", c.timestamp);
  find(c.library, "cuptiGetCallbackName", c.callback_name);
  find(c.library, "cuptiGetResultString", c.result_text);
  return c;
}

std::string demangled(const char* name) {
  if (!name) return "kernel";
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string found = status == 0 && text ? text : name;
  std::free(text);
  return found;
}

// "cudaMemcpyAsync_v3020" and "cuStreamSynchronize_ptsz" are the functions without their endings.
std::string plain(std::string name) {
  for (const char* ending : {"_v", "_pt"}) {
    if (const size_t at = name.rfind(ending); at != std::string::npos) name.resize(at);
  }
  return name;
}

const char* copy_name(uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "copy host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "copy device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "copy device to device";
    default:
      return "copy";
  }
}

}  // namespace

struct CudaTrace::Parts {
  // A record and, of what was launched, the launch it came from.
  struct Launched {
    TimelineRecord record;
    uint32_t correlation = 0;
  };

  Cupti cupti;
  std::mutex mutex;  // the library hands buffers over on a thread of its own
  std::vector<Launched> records;
  std::unordered_map<uint32_t, uint64_t> scope_of;  // by launch
  std::unordered_map<uint64_t, Paths> paths_of;     // by scope
  std::vector<TimelineRecord> open_ranges;
  uint64_t scopes = 0;
  int64_t dropped = 0;
  std::atomic<uint64_t> started{UINT64_MAX}, stopped{UINT64_MAX};
  bool running = false;

  // CUPTI's callbacks carry nothing of their caller's, so the one trace that may live is found here.
  static std::atomic<Parts*> current;
  static void CUPTIAPI give_buffer(uint8_t** buffer, size_t* size, size_t* max_records);
  static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t* buffer, size_t size,
                                   size_t valid);

  void add(const CUpti_Activity* activity);
  void add_call(const CUpti_ActivityAPI& call, CUpti_CallbackDomain domain);
  template <class Activity>
  void add_work(const Activity& work, Kind kind, std::string name, int64_t bytes, bool host_to_device) {
    if (!is_kept(work.start)) return;
    records.push_back({{.kind = kind,
                        .name = std::move(name),
                        .start_ns = static_cast<int64_t>(work.start),
                        .end_ns = static_cast<int64_t>(work.end),
                        .stream = work.streamId,
                        .bytes = bytes,
                        .host_to_device = host_to_device},
                       work.correlationId});
  }
  bool is_kept(uint64_t start) const { return start >= started && start <= stopped; }
  uint64_t now() const {
    uint64_t time = 0;
    cupti.check(cupti.timestamp(&time), "cuptiGetTimestamp");
    return time;
  }
  void name_nodes();
};

std::atomic<CudaTrace::Parts*> CudaTrace::Parts::current{nullptr};

void CUPTIAPI CudaTrace::Parts::give_buffer(uint8_t** buffer, size_t* size, size_t* max_records) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *max_records = 0;  // as many as fit
}

void CUPTIAPI CudaTrace::Parts::take_buffer(CUcontext context, uint32_t stream, uint8_t* buffer, size_t,
                                            size_t valid) {
  if (Parts* parts = current) {
    const std::lock_guard lock(parts->mutex);
    CUpti_Activity* activity = nullptr;
    while (valid > 0 && parts->cupti.next_record(buffer, valid, &activity) == CUPTI_SUCCESS) {
      parts->add(activity);
    }
    size_t dropped = 0;
    if (parts->cupti.dropped(context, stream, &dropped) == CUPTI_SUCCESS) {
      parts->dropped += static_cast<int64_t>(dropped);
    }
  }
  std::free(buffer);
}

void CudaTrace::Parts::add_call(const CUpti_ActivityAPI& call, CUpti_CallbackDomain domain) {
  if (!is_kept(call.start)) return;
  const char* name = nullptr;
  if (cupti.callback_name(domain, call.cbid, &name) != CUPTI_SUCCESS || !name) return;
  records.push_back({{.kind = Kind::call,
                      .name = plain(name),
                      .start_ns = static_cast<int64_t>(call.start),
                      .end_ns = static_cast<int64_t>(call.end),
                      .thread = call.threadId},
                     call.correlationId});
}

void CudaTrace::Parts::add(const CUpti_Activity* activity) {
  switch (activity->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
    case CUPTI_ACTIVITY_KIND_KERNEL: {
      const auto& kernel = *reinterpret_cast<const CUpti_ActivityKernel10*>(activity);
      if (is_kept(kernel.start)) add_work(kernel, Kind::kernel, demangled(kernel.name), 0, false);
      return;
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& copy = *reinterpret_cast<const CUpti_ActivityMemcpy6*>(activity);
      add_work(copy, Kind::copy, copy_name(copy.copyKind), static_cast<int64_t>(copy.bytes),
               copy.copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD);
      return;
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto& fill = *reinterpret_cast<const CUpti_ActivityMemset4*>(activity);
      add_work(fill, Kind::fill, "fill", static_cast<int64_t>(fill.bytes), false);
      return;
    }
    case CUPTI_ACTIVITY_KIND_RUNTIME:
      return add_call(*reinterpret_cast<const CUpti_ActivityAPI*>(activity), CUPTI_CB_DOMAIN_RUNTIME_API);
    case CUPTI_ACTIVITY_KIND_DRIVER:
      return add_call(*reinterpret_cast<const CUpti_ActivityAPI*>(activity), CUPTI_CB_DOMAIN_DRIVER_API);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      const auto& scope = *reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(activity);
      scope_of[scope.correlationId] = scope.externalId;
      return;
    }
    default:
      return;
  }
}

// The work of one launch, in order of its start, gets the paths of the launch's scope.
void CudaTrace::Parts::name_nodes() {
  std::map<uint32_t, std::vector<TimelineRecord*>> work_of;
  for (Launched& l : records) {
    if (l.record.kind != Kind::call && l.record.kind != Kind::range)
      work_of[l.correlation].push_back(&l.record);
  }
  for (auto& [correlation, work] : work_of) {
    const auto scope = scope_of.find(correlation);
    if (scope == scope_of.end()) continue;
    const auto found = paths_of.find(scope->second);
    if (found == paths_of.end()) continue;
    const std::vector<std::string>& paths = *found->second;
    std::ranges::sort(work, {}, &TimelineRecord::start_ns);
    if (paths.size() != 1 && paths.size() != work.size()) continue;  // part of it lies outside the trace
    for (size_t i = 0; i < work.size(); ++i) work[i]->path = paths.size() == 1 ? paths[0] : paths[i];
  }
}

CudaTrace::CudaTrace(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

namespace {

// Those that CUPTI must know of before graphs are made, and those that would slow the steps before the trace.
constexpr CUpti_ActivityKind kEarly[] = {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                                         CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};
constexpr CUpti_ActivityKind kLate[] = {CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
                                        CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER};

}  // namespace

std::shared_ptr<CudaTrace> CudaTrace::load() {
  auto parts = std::make_unique<Parts>();
  parts->cupti = load_cupti();
  Parts* none = nullptr;
  if (!Parts::current.compare_exchange_strong(none, parts.get())) {
    throw DeviceError("CUPTI", "a trace is being taken already");
  }
  const std::shared_ptr<CudaTrace> trace(new CudaTrace(std::move(parts)));
  const Cupti& cupti = trace->parts_->cupti;
  cupti.check(cupti.register_callbacks(Parts::give_buffer, Parts::take_buffer), "registering buffers");
  for (const CUpti_ActivityKind kind : kEarly) cupti.check(cupti.enable(kind), "enabling its records");
  return trace;
}

CudaTrace::~CudaTrace() {
  const Cupti& cupti = parts_->cupti;
  for (const CUpti_ActivityKind kind : kEarly) cupti.disable(kind);
  if (parts_->running) {
    for (const CUpti_ActivityKind kind : kLate) cupti.disable(kind);
  }
  cupti.flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  Parts::current = nullptr;
}

void CudaTrace::start() {
  const Cupti& cupti = parts_->cupti;
  for (const CUpti_ActivityKind kind : kLate) cupti.check(cupti.enable(kind), "enabling its records");
  parts_->started = parts_->now();
  parts_->stopped = UINT64_MAX;
  parts_->running = true;
}

void CudaTrace::stop() {
  if (!parts_->running) return;
  const Cupti& cupti = parts_->cupti;
  parts_->stopped = parts_->now();
  parts_->running = false;
  for (const CUpti_ActivityKind kind : kLate) cupti.check(cupti.disable(kind), "disabling its records");
  cupti.check(cupti.flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "flushing its records");
}

bool CudaTrace::running() const {
  return parts_->running;
}

void CudaTrace::push(Paths paths) {
  const uint64_t scope = ++parts_->scopes;
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->paths_of[scope] = std::move(paths);
  }
  parts_->cupti.push(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, scope);
}

void CudaTrace::pop() {
  uint64_t scope = 0;
  parts_->cupti.pop(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &scope);
}

void CudaTrace::begin_range(const std::string& name) {
  parts_->open_ranges.push_back(
      {.kind = Kind::range, .name = name, .start_ns = static_cast<int64_t>(parts_->now())});
}

void CudaTrace::end_range() {
  if (parts_->open_ranges.empty()) return;
  TimelineRecord range = std::move(parts_->open_ranges.back());
  parts_->open_ranges.pop_back();
  if (!parts_->is_kept(static_cast<uint64_t>(range.start_ns))) return;
  range.end_ns = static_cast<int64_t>(parts_->now());
  const std::lock_guard lock(parts_->mutex);
  parts_->records.push_back({std::move(range), 0});
}

Timeline CudaTrace::take() {
  const std::lock_guard lock(parts_->mutex);
  parts_->name_nodes();
  Timeline timeline{.dropped = parts_->dropped};
  for (auto& l : parts_->records) timeline.records.push_back(std::move(l.record));
  parts_->records.clear();
  parts_->scope_of.clear();
  parts_->paths_of.clear();
  parts_->dropped = 0;
  remove_nested_calls(timeline);
  std::ranges::stable_sort(timeline.records, {}, &TimelineRecord::start_ns);
  return timeline;
}

}  // namespace lethe
