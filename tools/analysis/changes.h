// The spectra of a study, by run and by how far training had come.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/analysis/grid.h"

namespace lethe::analysis {

using Spectra = std::vector<const ChangeSpectrum*>;

// A run's spectra by the tokens it had been trained on, in ascending order.
std::map<double, Spectra> course_of_change(const Grid& grid, const Run& run);

// The longest-trained run of each seed that has spectra, at the learning rate it is compared at where that
// one has any.
std::vector<const Run*> runs_with_spectra(const Grid& grid, const Panel& panel, const Condition& condition);

// Modules in the order they have in a block; others after them by name.
std::vector<std::string> modules_in(const Spectra& spectra);

// A quantity of a spectrum, NaN where it is not known.
using Quantity = double (*)(const ChangeSpectrum&);
double rank90_of(const ChangeSpectrum& spectrum);
double stable_rank_of(const ChangeSpectrum& spectrum);
double effective_rank_of(const ChangeSpectrum& spectrum);
double intruders_of(const ChangeSpectrum& spectrum);

// The median over matrices. With several seeds the mean of their medians and Student's interval; with one the
// interval of the median by order statistics, its wider half on both sides.
Estimate median_over_matrices(const std::vector<Spectra>& seeds, Quantity quantity);

}  // namespace lethe::analysis
