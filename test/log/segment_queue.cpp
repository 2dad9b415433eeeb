// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/log/segment_queue.hpp>

#include <doctest/doctest.h>

#include "support/random.hpp"

#include <deque>

using namespace aegis::storage;

TEST_CASE("a segment queue is a deque whose objects never move") {
  aegis_test::Random random{aegis_test::seed(1)};
  SegmentQueue<int> queue;
  std::deque<int*> model;
  CHECK(queue.empty());
  for (int i = 0; i < 5000; ++i) {
    switch (random.below(4)) {
      case 0:
      case 1: {
        REQUIRE(queue.ensure(queue.size() + 1 + random.below(3)));
        Owned<int> object{new int(i)};
        model.push_back(object.get());
        queue.push_back(std::move(object));
        break;
      }
      case 2:
        if (!model.empty()) {
          CHECK(queue.pop_front().get() == model.front());
          model.pop_front();
        }
        break;
      default:
        if (!model.empty()) {
          CHECK(queue.pop_back().get() == model.back());
          model.pop_back();
        }
    }
    REQUIRE(queue.size() == model.size());
    for (std::size_t at = 0; at < model.size(); ++at) REQUIRE(&queue[at] == model[at]);
    if (!model.empty()) CHECK((&queue.front() == model.front() && &queue.back() == model.back()));
    while (model.size() > 40) {
      model.pop_front();
      queue.pop_front();
    }
  }
}

TEST_CASE("objects change queues without a move of their own") {
  SegmentQueue<int> from, to;
  REQUIRE((from.ensure(2) && to.ensure(2)));
  from.push_back(Owned<int>{new int(1)});
  from.push_back(Owned<int>{new int(2)});
  const int* const first = &from.front();
  to.push_back(from.pop_front());
  CHECK(&to.back() == first);
  CHECK(from.size() == 1);
}
