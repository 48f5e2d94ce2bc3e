"""What builds each operation of a graph in Keras, a table row a layer."""
