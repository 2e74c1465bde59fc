#include "tools/run/rank_watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "engine/log.h"

namespace lethe {

void tell_failure(const std::string& text) {
  log::note("lethe train: " + text);
  fmt::print(stderr, "lethe train: {}\n", text);
}

void begin_log_of_rank(const Comm& comm, const std::string& output, const std::string& device) {
  const std::string folder = output + "/logs";
  std::filesystem::create_directories(folder);
  log::write_to_file(fmt::format("{}/rank-{}.log", folder, comm.rank()));
  log::note(fmt::format("rank {} of {}: host {}, process {}, device {}", comm.rank(), comm.world(),
                        host_name(), ::getpid(), device));
}

std::string slowest_rank(const Watch* watching) {
  const auto found = watching ? watching->slowest() : std::nullopt;
  return found ? fmt::format("slowest rank {} (+{:.0f}%)", found->rank, 100 * found->longer) : "";
}

std::unique_ptr<Watch> watch_ranks(const Ranks& ranks, const TrainingRun& run, double hang_seconds) {
  if (!ranks.store) return nullptr;
  return std::make_unique<Watch>(
      ranks.store, ranks.comm->rank(), ranks.comm->world(), Seconds(hang_seconds),
      run.session().backend().position(),
      Watch::Calls{.say = tell_failure, .end = [](int status) {
                     log::note(fmt::format("the run ends, with status {}", status));
                     std::_Exit(status);
                   }});
}

int64_t train_watched(TrainingRun& run, const RunObserver& observer, Watch* watching) {
  const auto fail = [&](const RankFailure& failure) {
    if (!watching) return;
    log::note("lethe train: " + failure.text);
    watching->fail(failure, Seconds(5));
  };
  try {
    return run.train(observer);
  } catch (const DivergedError& error) {
    if (!watching) throw;
    const std::string last = who_diverged(*run.prepared().comm, error.what(), run.own_loss_sum());
    throw SharedFailure{1, "the run ends\n" + watching->table() + "\n" + last};
  } catch (const CommError& error) {
    fail({error.what(), 1, true});
    throw;
  } catch (const RequestError& error) {
    fail({error.what(), 2});
    throw;
  } catch (const std::exception& error) {
    fail({error.what(), 1});
    throw;
  }
}

}  // namespace lethe
