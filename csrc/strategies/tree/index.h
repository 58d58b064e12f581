// The tree strategy's index: the free direction classes of X in a complete 8-ary
// tree (kernels/tree.h), balanced by position, rebuilt as the x's are taken.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "kernels/tree.h"
#include "strategies/common/classes.h"

namespace gtn {

// Uninitialised numbers on a cache line's boundary.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(int64_t n)
      : data_(static_cast<T*>(::operator new(static_cast<size_t>(n) * sizeof(T), kAlign))) {}
  T* get() const { return data_.get(); }
  T& operator[](int64_t i) const { return data_.get()[i]; }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<T, Free> data_;
};

class TreeIndex {
 public:
  static std::unique_ptr<TreeIndex> make(int64_t d, Metric metric);
  virtual ~TreeIndex() = default;

  // From the heads of all classes but the zero class.
  virtual void build(const Problem& problem, const DirectionClasses& classes, Team& team) = 0;
  // From the classes that are still free: boxes become tight again.
  virtual void rebuild(Team& team) = 0;

  const TreeView& view() const { return view_; }
  int64_t slots() const { return n_; }  // at the last build: slots 0..n-1
  int64_t live() const { return live_; }

  uint32_t head(uint32_t slot) const { return rank_[slot]; }  // kNoRank: the class is used up
  // Takes the slot's head; `next` is the head after it, or kNoRank.
  void take(uint32_t slot, uint32_t next);

 protected:
  explicit TreeIndex(int64_t d) : d_(d) {}
  // Both of a slot that is used up, or of a child that has none but such.
  virtual void kill(int64_t slot) = 0;
  virtual void empty(int level, int64_t child) = 0;
  // Counts leaves and nodes of n slots; returns how many nodes there are.
  int64_t lay_out(int64_t n);

  int64_t d_;
  int64_t n_ = 0, live_ = 0;
  int64_t nodes_[kTreeLevels] = {};  // by level; nodes_[0] = leaves
  int64_t level_begin_[kTreeLevels] = {};
  TreeView view_;
  AlignedArray<uint32_t> rank_;
  std::vector<uint8_t> live_below_[kTreeLevels];  // slots of a leaf, children of a node
};

}  // namespace gtn
