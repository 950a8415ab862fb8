{"version":2,"origin":{"model":"m","model_version":"0000000000000000000000000000000000000000000000000000000000000000","vector":"v","vector_identity":"00000000000000000000000000000000","training_set":"set.parquet","training_set_sha256":"0000000000000000000000000000000000000000000000000000000000000000"},
"rows":4,"columns":[
{"name":"spend_1h","count":4,"missing":0,"bins":{"numbers":{"edges":[0.5,1.0,2.0],"counts":[0,2,2,0],"coarse":[0,1,2,3]}}},
{"name":"x","count":4,"missing":0,"bins":{"numbers":{"edges":[0.5,1.0,2.0],"counts":[0,2,2,0],"coarse":[0,1,2,3]}}}],
"scores":{"name":"score","count":4,"missing":0,"bins":{"numbers":{"edges":[0.1,0.5],"counts":[0,4,0],"coarse":[0,1,2]}}}}
