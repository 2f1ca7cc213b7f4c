// Stands in for LAMMPS around the core of its `fix rootstock` and `pair_style rootstock`: a step for each line of standard
// input, "CELL POSITIONS" as 9 and 3 N numbers; prints energy, forces and virial (xx yy zz xy xz yz).
#include "error.h"
#include "rootstock_ipi.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <vector>

static void run(char **argv) {
  LAMMPS_NS::Error error;
  LAMMPS_NS::RootstockIPI core(&error);
  core.cluster = argv[1];
  core.checkpoint = argv[2];
  core.device = argv[3];
  core.timeout = 600;
  std::vector<int> numbers(std::atoi(argv[4]), 29);
  core.set_atomic_numbers(numbers);
  core.start("pair_style rootstock", "test");
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    double cell[3][3], energy, virial[6];
    for (auto &row : cell)
      for (double &number : row) words >> number;
    std::vector<double> places(3 * numbers.size()), forces(places.size());
    for (double &number : places) words >> number;
    core.set_atomic_numbers(numbers);
    core.exchange(cell, places.data(), (int) numbers.size(), energy, forces.data(), virial);
    std::printf("%.17g", energy);
    for (double number : forces) std::printf(" %.17g", number);
    for (double number : virial) std::printf(" %.17g", number);
    std::printf("\n");
    std::fflush(stdout);
  }
}

int main(int, char **argv) {
  try {
    run(argv);
  } catch (const std::runtime_error &) {
    return 1;
  }
}
