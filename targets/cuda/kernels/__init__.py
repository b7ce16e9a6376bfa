"""Problems -> instances of the templates of device/*.cuh."""
