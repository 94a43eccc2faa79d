// How busy other programs keep the machine, from /proc/stat.
#include "bench/bars/elsewhere.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace bench::bars {

double Elsewhere::busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  if (!(stat >> name >> user >> nice >> system >> idle >> wait >> irq >> soft >> steal)) return 0;
  return (user + nice + system + irq + soft + steal) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double Elsewhere::own_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage = {};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      sum += static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    }
  }
  return sum;
}

double Elsewhere::share(double seconds) const {
  const double others = busy_seconds() - busy_ - (own_seconds() - own_);
  const double all = seconds * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  return all > 0 ? std::clamp(others / all, 0.0, 1.0) : 0;
}

}  // namespace bench::bars
