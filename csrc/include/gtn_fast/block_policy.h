// How many y's are searched for together, and how many candidates each of them should get.
#pragma once

#include <cstdint>

namespace gtn {

// The first block is small. From then on blocks follow how many lists of the last one ran dry,
// that is had to be searched for again, and how many x's are free: the fewer, the sooner lists
// want the same ones. None of this changes the answer.
class BlockPolicy {
 public:
  // `block` and `list_length` as in Options: 0 if the policy is to choose. `wanted`: candidates
  // per y to start with. A block is at most the free x's / `share`.
  BlockPolicy(int64_t block, int64_t list_length, int wanted, int64_t share);

  int64_t size() const { return size_; }
  int wanted() const { return wanted_; }

  // A block of n y's is done, `dry` lists of it were searched for again, `free` x's are left.
  void served(int64_t n, int64_t dry, int64_t free);
  // The next block is a first one of its kind.
  void start_small();

 private:
  const bool fixed_size_, fixed_length_;
  const int64_t share_;
  int64_t size_;
  int wanted_;
};

}  // namespace gtn
