// The bars as a page with plots.
#pragma once

#include <string>
#include <vector>

#include "bench/bars/judge.h"

namespace bench::bars {

std::string page(const std::vector<JudgedSection>& sections, const Record& record);

}  // namespace bench::bars
