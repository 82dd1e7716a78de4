// Must not survive UndefinedBehaviorSanitizer: a signed sum that does not fit.
#include <cstdio>
#include <limits>

int main(int argc, char**) {
  const int sum = std::numeric_limits<int>::max() - 1 + argc + argc;
  std::printf("survived with %d\n", sum);
}
