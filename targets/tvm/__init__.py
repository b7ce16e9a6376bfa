"""TVM as far as it is not its public interface: privates.py, and its runtime without its compiler."""
