"""What the tests share: wheels, indexes and images made on the spot, and a driver of `rundlet`."""
