// As much of LAMMPS' `Error` as the styles' core needs: prints the message and throws.
#ifndef LMP_ERROR_H
#define LMP_ERROR_H

#include <iostream>
#include <stdexcept>
#include <string>

#define FLERR __FILE__, __LINE__

namespace LAMMPS_NS {

class Error {
 public:
  template <typename... Arguments> [[noreturn]] void all(const char *, int, const std::string &text, Arguments... arguments) {
    std::cerr << "ERROR: " << text;
    ((std::cerr << " | " << arguments), ...);
    std::cerr << std::endl;
    throw std::runtime_error(text);
  }
};

}    // namespace LAMMPS_NS

#endif
