"""gtn_fast in the conventions of other frameworks, a short file for each; no engine of its own.

scikit_learn.py  GTNLabeler, an estimator: fit, fit_predict, transform, inverse_transform
lightning.py     LabeledPairsModule, a data module: labeled pairs in batches
ray.py           label: a column of a Dataset, by the workers of TorchTrainer
spark.py         label: a column of a DataFrame, by the processes of TorchDistributor
"""
